#!/usr/bin/env node
import '../dist/cli/conformance-cli.js';
