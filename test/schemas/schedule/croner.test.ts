import test from 'ava';
import {Cron} from 'croner';
import fc from 'fast-check';
import {nextRun} from '../../../schemas/schedule/next-run.ts';
import {parseSchedule, type Schedule} from '../../../schemas/schedule/parse.ts';
import {createZone} from '../../../schemas/schedule/zone.ts';
import {anyExpression, offsetChanges, timesOfChanges} from '../../helpers/cron-expressions.ts';

const dayMs = 24 * 60 * 60_000;

function schedule(text: string): Schedule {
  const result = parseSchedule(text);
  if (!result.ok) throw new Error(`${text}: ${result.issue.message}`);
  return result.schedule;
}

/** The closest that croner comes to the daemon. */
function croner(text: string, timezone: string): Cron {
  return new Cron(text, {paused: true, timezone, mode: '5-part', fixedTimeRule: 'no-wildcard'});
}

/** croner joins the day fields by OR also where one of them is a stepped star, against the daemon. */
function hasSteppedDays(text: string): boolean {
  const [, , day = '', , weekday = ''] = text.split(' ');
  return [day, weekday].some((field) => field.startsWith('*') && field !== '*');
}

/** It refuses steps that are larger than their field, which crontab(5) allows. */
function isTaken(text: string): boolean {
  try {
    croner(text, 'UTC');
    return true;
  } catch {
    return false;
  }
}

test('croner finds the same runs of any expression where the offset does not change', (t) => {
  const plain = anyExpression.filter((text) => !hasSteppedDays(text) && isTaken(text));
  fc.assert(
    fc.property(
      plain,
      fc.constantFrom('UTC', 'Asia/Kathmandu'),
      fc.integer({min: 0, max: 3000}),
      (text, zoneName, offset) => {
        const [own, zone, peer] = [schedule(text), createZone(zoneName), croner(text, zoneName)];
        let at = Date.parse('2024-01-01T00:00:00Z') + offset * dayMs;
        for (let run = 0; run < 5; run += 1) {
          const found = nextRun(own, zone, at);
          t.is(found, peer.nextRun(new Date(at))?.getTime() ?? null, `${text} in ${zoneName} after ${at}`);
          if (found === null) return;
          at = found;
        }
      },
    ),
    {numRuns: 300},
  );
});

/** The daemon takes these for fixed times, croner does not. */
const knownDifferences = new Set(['10-50/20 2 * * *', '30 1-23/2 * * *']);

for (const {zone: zoneName, at} of offsetChanges) {
  test(`croner finds the same runs in ${zoneName} around ${at}`, (t) => {
    const zone = createZone(zoneName);
    for (const text of timesOfChanges.filter((each) => !knownDifferences.has(each))) {
      const [own, peer] = [schedule(text), croner(text, zoneName)];
      const untilMs = Date.parse(at) + 1.5 * dayMs;
      for (let after: number | null = Date.parse(at) - 1.5 * dayMs; after !== null && after < untilMs; ) {
        const theirs: number | null = peer.nextRun(new Date(after))?.getTime() ?? null;
        after = nextRun(own, zone, after);
        t.is(after, theirs, text);
      }
    }
  });
}
