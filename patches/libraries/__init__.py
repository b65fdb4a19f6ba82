"""What takes the place of other people's names: a file for each library, imported only after the library itself."""
