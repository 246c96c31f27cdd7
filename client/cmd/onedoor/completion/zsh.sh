#compdef onedoor
# Completion of onedoor for zsh; `source <(onedoor completion zsh)` after compinit.
_onedoor() {
  local -a found
  found=("${(@f)$(command onedoor __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  found=(${found:#})
  if (( $#found )); then
    compadd -- "${found[@]}"
  else
    _files
  fi
}
compdef _onedoor onedoor
