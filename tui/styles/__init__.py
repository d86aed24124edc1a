"""How the app looks: themes here, sizes and places in `first.tcss` and `app.tcss`."""
