"""Everything that runs for a person: the commands, the page, the API and the state behind them."""
