"""The Attributes tab."""
