"""What tests share: recordings, towns, runs and fakes made up for them."""
