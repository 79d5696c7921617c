"""What others do, each as its own documentation says to use it, in one module each."""
