"""Pages of teams and of people: fetch what is visible, call one service, answer."""
