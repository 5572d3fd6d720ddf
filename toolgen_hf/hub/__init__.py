"""What a result needs to live on the Hub."""
