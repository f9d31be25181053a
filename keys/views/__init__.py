"""Pages: fetch what is visible, call one service, answer."""
