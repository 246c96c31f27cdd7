# Completion of onedoor for bash; `source <(onedoor completion bash)`.
_onedoor() {
  local line words=()
  # COMP_WORDS is broken at = and :, so the line is taken whole up to the cursor.
  local typed=${COMP_LINE:0:COMP_POINT}
  read -r -a words <<<"$typed"
  [[ $typed == *[[:space:]] ]] && words+=("")
  local current=${words[${#words[@]}-1]}
  local cut=
  case $current in
    *[=:]*) cut=${current%"${current##*[=:]}"} ;;
  esac
  COMPREPLY=()
  while IFS= read -r line; do
    COMPREPLY+=("${line#"$cut"}")
  done < <(command onedoor __complete -- "${words[@]:1}" 2>/dev/null)
}
complete -o default -o bashdefault -F _onedoor onedoor
