#!/usr/bin/env node
import '../dist/cli/validate/main.js';
