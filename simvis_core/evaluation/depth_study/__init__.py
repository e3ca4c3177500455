"""The study of depths: which layers, rules, references and combinations of maps follow the score best."""
