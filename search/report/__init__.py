"""What a person looks at: the front as a table, as a picture and as a page."""
