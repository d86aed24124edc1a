# Starts edgellm on Windows, as scripts/run does elsewhere.
$ErrorActionPreference = "Stop"
$root = Split-Path -Parent $PSScriptRoot
$edgellm = Join-Path $root ".venv\Scripts\edgellm.exe"

python (Join-Path $PSScriptRoot "setup.py")
if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }

if ($args.Count -gt 0) {
    & $edgellm @args
    exit $LASTEXITCODE
}
if ([Console]::IsInputRedirected -or [Console]::IsOutputRedirected) {
    & $edgellm pull smollm2
    if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
    & $edgellm run -m smollm2 "Why is the sky blue? Answer in one sentence."
} else {
    & $edgellm chat -m smollm2
}
exit $LASTEXITCODE
