"""What edgellm tells about itself: logs, metrics and the timings of a request; never what people wrote."""
