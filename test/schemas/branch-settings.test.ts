import test from 'ava';
import {parseBranchSettings} from '../../schemas/branch-settings.ts';

test('what a branch may say of itself is read with units', (t) => {
  const {value, issues} = parseBranchSettings(`version: 1
live: {limits: {memory: 4GB, run_time: 1h}}
previews:
  run: changed
  limits: {cpus: 0.25, overlap: never}
  idle: {pause_after: 7d, remove_after: 14d}
`);
  t.deepEqual(issues, []);
  t.deepEqual(value, {
    version: 1,
    live: {limits: {memory: 4 * 1024 ** 3, run_time: 3_600_000}},
    previews: {
      run: 'changed',
      limits: {cpus: 0.25, overlap: 'never'},
      idle: {pause_after: 7 * 86_400_000, remove_after: 14 * 86_400_000},
    },
  });
});

test('what only the operator says is refused with its place', (t) => {
  for (const [line, code, message] of [
    ['keep: true', 'key_unknown', /keep/],
    ['secrets: {A: {from_env: HOME}}', 'key_unknown', /secrets/],
    ['previews: {data: copy}', 'key_unknown', /data/],
    ['previews: {run: all}', 'value_invalid', /run/],
    ['previews: {limits: {memory: none}}', 'value_invalid', /memory/],
    ['previews: {limits: {overlap: allow}}', 'value_invalid', /overlap/],
    ['previews: {idle: {pause_after: 0}}', 'value_invalid', /1m/],
    ['previews: {idle: {pause_after: 2d, remove_after: 1d}}', 'value_invalid', /longer than pause_after/],
    ['live: {run: none}', 'key_unknown', /run/],
    ['live: {idle: {remove_after: 1d}}', 'key_unknown', /idle/],
    ['previews: {limits: {cpus: .inf}}', 'value_invalid', /cpus/],
    ['previews: *nobody', 'yaml_invalid', /nobody/],
    ['previews: {run: none}\nprevious: 1', 'key_unknown', /previous/],
    ['previews: {__proto__: {run: none}}', 'key_unknown', /__proto__/],
  ] as const) {
    const {value, issues} = parseBranchSettings(`version: 1\n${line}\n`);
    t.is(value, null, line);
    t.is(issues[0]?.file, '.hoody/settings.yaml');
    t.is(issues[0]?.code, code, line);
    t.true((issues[0]?.line ?? 0) >= 1 && (issues[0]?.column ?? 0) >= 1, line);
    t.regex(issues[0]?.message ?? '', message, line);
  }
  t.not(parseBranchSettings('').issues.length, 0);
  t.not(parseBranchSettings('version: 2\n').issues.length, 0);
});
