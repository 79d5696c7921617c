"""One module per revision; none is changed once it was released."""
