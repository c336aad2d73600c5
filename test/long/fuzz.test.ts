import {readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
// AVA loads test files without waiting, so these stand here by name.
import '../fuzz/authority.test.ts';
import '../fuzz/branch-settings.test.ts';
import '../fuzz/call-frames.test.ts';
import '../fuzz/claim.test.ts';
import '../fuzz/config.test.ts';
import '../fuzz/controller-api.test.ts';
import '../fuzz/crontab-test.test.ts';
import '../fuzz/crontab.test.ts';
import '../fuzz/data-archive.test.ts';
import '../fuzz/exec-management.test.ts';
import '../fuzz/gateway.test.ts';
import '../fuzz/git-tree.test.ts';
import '../fuzz/host-guard.test.ts';
import '../fuzz/job-tokens.test.ts';
import '../fuzz/key-values.test.ts';
import '../fuzz/line-range.test.ts';
import '../fuzz/managed.test.ts';
import '../fuzz/manifest.test.ts';
import '../fuzz/notifications.test.ts';
import '../fuzz/pipe-framing.test.ts';
import '../fuzz/pipe-server.test.ts';
import '../fuzz/push-options.test.ts';
import '../fuzz/runtime.test.ts';
import '../fuzz/script-secrets.test.ts';
import '../fuzz/scripts.test.ts';
import '../fuzz/server-sent-events.test.ts';
import '../fuzz/state-export.test.ts';
import '../fuzz/statement-guard.test.ts';
import '../fuzz/webhooks.test.ts';

// Every target for longer, and for how long. Read when a test runs.
process.env.FUZZ_SECONDS ??= '20';

test('no fuzz target is left out', (t) => {
  const own = readFileSync(import.meta.filename, 'utf8');
  for (const name of readdirSync(join(import.meta.dirname, '../fuzz')))
    t.true(own.includes(`/${name}'`), name);
});
