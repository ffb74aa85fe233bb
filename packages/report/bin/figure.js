#!/usr/bin/env node
import '../dist/cli/figure/main.js';
