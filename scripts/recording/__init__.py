"""Records a session of the chat app as an animated picture."""
