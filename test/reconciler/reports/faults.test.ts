import {equal} from 'node:assert/strict';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import {openOutbox} from '../../../reconciler/reports/outbox.ts';
import {digestOf, type Report, targetOf} from '../../../reconciler/reports/report.ts';
import {createSender} from '../../../reconciler/reports/sender.ts';
import {type Clock, systemClock} from '../../../runtime/platform/clock.ts';
import {silentLog} from '../../../runtime/platform/log.ts';
import {createGitHubStandIn, type Fault} from '../../helpers/github-stand-in.ts';
import {openStandInForge} from '../../helpers/stand-in-forge.ts';

const repository = 'github.com/acme/shop';
const commits = ['a', 'b'].map((digit) => digit.repeat(40));

/** So much faster than the clock on the wall: ten minutes in a fifth of a second. */
const hurry = 3000;

const hurriedClock: Clock = {
  now: () => systemClock.now() * hurry,
  sleep: (ms, options) => systemClock.sleep(ms / hurry, options),
};

const branch = (commit: string) => ({repository, key: 'x', live: false, commit, url: null});
const verdict = (commit: string, state: 'success' | 'failure'): Report => ({
  ...branch(commit),
  kind: 'verdict',
  name: 'branchtab',
  state,
  title: state,
  summary: state,
  annotations: [],
});
const deployment = (commit: string, state: 'success' | 'inactive'): Report => ({
  ...branch(commit),
  kind: 'deployment',
  environment: 'preview/x',
  state,
});
const comment = (text: string): Report => ({
  kind: 'comment',
  repository,
  pull_request: 7,
  marker: '<!-- branchtab 0 -->',
  body: `<!-- branchtab 0 -->\n${text}`,
});

const wishes = fc.array(
  fc.oneof(
    fc.tuple(fc.constantFrom(...commits), fc.constantFrom('success', 'failure')).map((it) => verdict(...it)),
    fc
      .tuple(fc.constantFrom(...commits), fc.constantFrom('success', 'inactive'))
      .map((it) => deployment(...it)),
    fc.constantFrom('one', 'two').map(comment),
  ),
  {minLength: 1, maxLength: 8},
);
/** What goes wrong with writes; of reads Octokit would try again only after a second. */
const faults = fc.array(
  fc.record({
    when: fc.constantFrom(/^POST .*statuses/, /^POST .*deployments$/, /^(?:POST|PATCH) .*comments/),
    kind: fc.constantFrom<Fault['kind']>('html', 'lost', 'truncated', {status: 403}, {afterMs: 5}),
  }),
  {maxLength: 5},
);

test('whatever GitHub answers, in the end it has what was wanted last, and once', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'branchtab-reports-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  const gitHub = await createGitHubStandIn(t);
  let run = 0;
  await fc.assert(
    fc.asyncProperty(wishes, faults, async (wanted, broken) => {
      gitHub.reset();
      const forge = openStandInForge(gitHub);
      run += 1;
      const path = join(directory, `${run}.jsonl`);
      const outbox = await openOutbox({path, log: silentLog, nowMs: 0});
      const sender = createSender({forge, outbox, clock: hurriedClock, log: silentLog, random: () => 0.5});
      for (const fault of broken) gitHub.fail(fault);
      for (const report of wanted) {
        await outbox.put(report, {says: digestOf(report), notBeforeMs: 0, nowMs: hurriedClock.now()});
        sender.wake(targetOf(report));
      }
      for (;;) {
        await sender.idle();
        if (sender.status().waiting === 0) break;
        await systemClock.sleep(1);
      }
      await sender.close();
      await outbox.close();

      const last = new Map(wanted.map((report) => [targetOf(report), report]));
      for (const report of last.values()) {
        if (report.kind === 'verdict') {
          const newest = gitHub.statuses.filter(({sha}) => sha === report.commit);
          equal(newest.at(-1)?.state, report.state);
          equal(newest.filter(({state}, index) => newest[index - 1]?.state === state).length, 0);
        }
        if (report.kind === 'deployment') {
          const made = gitHub.deployments.filter(({ref}) => ref === report.commit);
          const states = gitHub.deploymentStates.filter(({deployment}) => deployment === made[0]?.id);
          equal(made.length <= 1, true);
          // What never was is not made in order to end it.
          equal(states.at(-1)?.state ?? 'inactive', report.state);
        }
        if (report.kind === 'comment') {
          equal(gitHub.comments.length, 1);
          equal(gitHub.comments[0]?.body, report.body);
        }
      }
    }),
    {numRuns: 25},
  );
  t.pass();
});
