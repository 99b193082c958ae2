/* A command that does nothing for as long as it is left alone. */
#include <unistd.h>
int main(void) {
  for (;;) pause();
}
