"""What the `synth` commands do: plain functions, one module a command, each returning what is to be shown."""
