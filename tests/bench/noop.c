/* What every contender of scripts/bench starts: static, and ends at once. */
int main(void) { return 0; }
