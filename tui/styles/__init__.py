"""How the app looks: themes here, sizes and places in `app.tcss`."""
