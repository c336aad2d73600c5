import fc from 'fast-check';

/** Instants at which the wall clock jumps, and two zones in which it does not. */
export const offsetChanges = [
  {zone: 'America/New_York', at: '2026-03-08T07:00:00Z'},
  {zone: 'America/New_York', at: '2026-11-01T06:00:00Z'},
  {zone: 'Europe/London', at: '2026-03-29T01:00:00Z'},
  {zone: 'Europe/London', at: '2026-10-25T01:00:00Z'},
  {zone: 'Australia/Lord_Howe', at: '2026-04-04T15:00:00Z'},
  {zone: 'Australia/Lord_Howe', at: '2026-10-03T15:30:00Z'},
  {zone: 'America/Santiago', at: '2026-09-06T04:00:00Z'},
  {zone: 'Africa/Casablanca', at: '2026-02-15T02:00:00Z'},
  {zone: 'Asia/Kathmandu', at: '2026-04-04T15:00:00Z'},
];
/** Schedules that such a jump moves, swallows or repeats, and some that it leaves alone. */
export const timesOfChanges = [
  '* * * * *',
  '*/15 * * * *',
  '*/30 1 * * *',
  '30 * * * *',
  '0 */2 * * *',
  '30 2 * * *',
  '0 2 * * *',
  '15 1 * * *',
  '45 1 * * *',
  '0,30 1,2 * * *',
  '10-50/20 2 * * *',
  '30 1-23/2 * * *',
  '0 3 * * *',
  '59 1 * * *',
  '0 0 * * *',
  '30 0 * * sun',
  '0 2 29 3 *',
];

function field(first: number, last: number): fc.Arbitrary<string> {
  const value = fc.integer({min: first, max: last});
  const range = fc.tuple(value, value).map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`);
  const step = fc.integer({min: 1, max: last + 5});
  const item = fc.oneof(
    value.map(String),
    range,
    fc.tuple(range, step).map(([r, s]) => `${r}/${s}`),
    step.map((s) => `*/${s}`),
  );
  return fc.oneof(
    fc.constant('*'),
    item,
    fc.array(item, {minLength: 1, maxLength: 3}).map((items) => items.join(',')),
  );
}

export const anyExpression: fc.Arbitrary<string> = fc
  .tuple(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7))
  .map((fields) => fields.join(' '));
