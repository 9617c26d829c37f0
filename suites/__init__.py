"""Suite files that come with the program; `pacbench list suites` names them."""
