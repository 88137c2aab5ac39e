"""The rules and the product catalogue that come with llmscan."""
