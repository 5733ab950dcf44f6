"""Who is this: token checks and revocation, once per connection."""
