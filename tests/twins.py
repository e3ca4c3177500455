"""What a program can call of the page; every other function of it is private."""

TWINS = {
    *("/explain_pair", "/explain_point", "/search", "/classes", "/curves"),
    *("/trust", "/training", "/attributes", "/concepts"),
}
