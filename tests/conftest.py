pytest_plugins = ["fixtures_text"]
