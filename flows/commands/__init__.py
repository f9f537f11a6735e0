"""The commands, one module a group. What a command needs is imported when it runs: `cptflow --help` is quick."""
