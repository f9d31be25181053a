"""The REST dialect: fetch what is visible, call one service, answer. It holds no rule of its own."""
