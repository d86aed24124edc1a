# Runs the tests on Windows, as scripts/test does elsewhere.
$ErrorActionPreference = "Stop"
$root = Split-Path -Parent $PSScriptRoot
$python = Join-Path $root ".venv\Scripts\python.exe"

python (Join-Path $PSScriptRoot "setup.py")
if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }

Set-Location $root
& $python scripts/test_models.py smollm2 qwen-0.5b
if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
& $python -m pytest @args
exit $LASTEXITCODE
