#include "supervisor/cli/options.h"

namespace bulkhead {

std::string bash_completion() {
  return R"bash(# bash completion for bulkhead: source <(bulkhead completion)
_bulkhead() {
  local word=${COMP_WORDS[COMP_CWORD]} verb= group= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      --) COMPREPLY=($(compgen -c -f -- "$word")); return ;;
      --output) [[ $verb == log ]] || ((i++)) ;;
      --state|--policy|--report|--name|--run|-o|--rounds) ((i++)) ;;
      -*) ;;
      *) if [[ -z $verb ]]; then verb=${COMP_WORDS[i]}; elif [[ -z $group ]]; then group=${COMP_WORDS[i]}; fi ;;
    esac
  done
  case ${COMP_WORDS[COMP_CWORD-1]} in
    --state) COMPREPLY=($(compgen -d -- "$word")); return ;;
    --output) if [[ $verb != log ]]; then COMPREPLY=($(compgen -f -- "$word")); return; fi ;;
    --policy|--report|-o) COMPREPLY=($(compgen -f -- "$word")); return ;;
  esac
  case $verb in
    '') COMPREPLY=($(compgen -W 'run sandbox policy config diff log apply shell journal ps kill clean doctor version completion --state --help' -- "$word")) ;;
    run) COMPREPLY=($(compgen -f -W '--policy --name --keep-workspaces --explain --quiet --help --' -- "$word")) ;;
    sandbox)
      case $group in
        '') COMPREPLY=($(compgen -W 'run plan' -- "$word")) ;;
        run) COMPREPLY=($(compgen -W '--policy --explain --report --quiet --help --' -- "$word")) ;;
        plan) COMPREPLY=($(compgen -W '--policy --json --help --' -- "$word")) ;;
      esac ;;
    policy)
      case $group in
        '') COMPREPLY=($(compgen -W 'check diff learn' -- "$word")) ;;
        check) COMPREPLY=($(compgen -f -- "$word")) ;;
        diff) COMPREPLY=($(compgen -f -W '--json --help' -- "$word")) ;;
        learn) COMPREPLY=($(compgen -W '--policy --output --rounds --json --help --' -- "$word")) ;;
      esac ;;
    config) COMPREPLY=($(compgen -f -- "$word")) ;;
    diff) COMPREPLY=($(compgen -W '--stat --help' -- "$word")) ;;
    log) COMPREPLY=($(compgen -W 'latest --output --help' -- "$word")) ;;
    apply) COMPREPLY=($(compgen -W '--squash --with-tool-files --help' -- "$word")) ;;
    journal) COMPREPLY=($(compgen -W 'latest --events --json --help' -- "$word")) ;;
    ps|doctor) COMPREPLY=($(compgen -W '--json --help' -- "$word")) ;;
    kill) COMPREPLY=($(compgen -W '--run --help' -- "$word")) ;;
    clean) COMPREPLY=($(compgen -W '--check --kept --images --help' -- "$word")) ;;
  esac
}
complete -F _bulkhead bulkhead
)bash";
}

}  // namespace bulkhead
