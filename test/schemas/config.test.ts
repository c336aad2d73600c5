import {readFile} from 'node:fs/promises';
import test from 'ava';
import fc from 'fast-check';
import {parseConfig} from '../../schemas/config.ts';
import {generatedSchemas} from '../../schemas/generate.ts';

const parse = (text: string) => parseConfig(text, 'branchtab.yaml');

test('an empty file is the default configuration', (t) => {
  const {config} = parse('');
  t.is(config?.listen, '127.0.0.1:7070');
  t.is(config?.undo_window, 86_400_000);
});

test('repositories are paths, URLs or objects', (t) => {
  const {config} = parse(
    'repositories:\n  - .\n  - repository: https://example.org/a.git\n    live: trunk\n    branches: [trunk, "feature/*"]\n',
  );
  t.deepEqual(config?.repositories, [
    {repository: '.', environments: []},
    {
      repository: 'https://example.org/a.git',
      live: 'trunk',
      environments: [],
      branches: ['trunk', 'feature/*'],
    },
  ]);
});

test('durations are read with their unit', (t) => {
  const {config} = parse('undo_window: 0\nstop_grace: 5m\npoll_interval: 250ms\n');
  t.deepEqual([config?.undo_window, config?.stop_grace, config?.poll_interval], [0, 300_000, 250]);
});

test('an unknown key is an issue', (t) => {
  t.is(parse('repositroies: [.]\n').issues[0]?.code, 'key_unknown');
});

test('a wrong value is an issue at its line and column', (t) => {
  const [issue] = parse('listen: 127.0.0.1:7070\nundo_window: soon\n').issues;
  t.deepEqual([issue?.line, issue?.column, issue?.code], [2, 14, 'value_invalid']);
});

test('a domain is a host name in lower case, without port or dot at its ends', (t) => {
  for (const domain of ['hoody.com', 'a', 'x-1.example.org'])
    t.is(parse(`domain: ${domain}\n`).config?.domain, domain);
  for (const domain of [
    'Hoody.com',
    'hoody.com.',
    '.hoody.com',
    '*.hoody.com',
    'hoody.com:80',
    'a_b',
    'a..b',
    '-a',
  ]) {
    const [issue] = parse(`domain: ${JSON.stringify(domain)}\n`).issues;
    t.is(issue?.code, 'value_invalid', domain);
    t.regex(issue?.message ?? '', /^domain: write a host name in lower case/);
  }
});

test('a lease is 72 hours unless it says otherwise, and 0 for none', (t) => {
  t.is(parse('').config?.previews.lease, 72 * 3_600_000);
  t.is(parse('previews: {lease: 0}\n').config?.previews.lease, 0);
  for (const lease of ['999ms', '3651d', '-1h', '999999999d', '1e9', 'null', '[1h]', '1h 30m', '"1h\\n"'])
    t.is(parse(`previews: {lease: ${lease}}\n`).config, null, lease);
});

test('idle limits are durations, and what is removed was paused before', (t) => {
  const withIdle = (idle: string) => parse(`environments:\n  - {branches: '**', idle: ${idle}}\n`);
  for (const idle of ['{}', '{pause_after: 14d}', '{remove_after: 28d}', '{pause_after: 0, remove_after: 0}'])
    t.deepEqual(withIdle(idle).issues, [], idle);
  for (const idle of [
    '{pause_after: 28d, remove_after: 14d}',
    '{pause_after: 14d, remove_after: 14d}',
    '{pause_after: -1d}',
    '{pause_after: 14}',
    '{pause: 14d}',
    '14d',
    'true',
  ])
    t.is(withIdle(idle).config, null, idle);
  t.regex(
    withIdle('{pause_after: 28d, remove_after: 14d}').issues[0]?.message ?? '',
    /remove_after must be longer than pause_after/,
  );
});

test('broken YAML is an issue with a position', (t) => {
  const [issue] = parse('repositories:\n  - "open\n').issues;
  t.is(issue?.code, 'yaml_invalid');
  t.true((issue?.line ?? 0) >= 2);
});

test('no text makes the parser throw', (t) => {
  fc.assert(
    fc.property(fc.string({unit: 'binary', maxLength: 400}), (text) => {
      const {config, issues} = parse(text);
      return config !== null || issues.length > 0;
    }),
  );
  t.pass();
});

test('the generated JSON Schema is up to date (npm run generate)', async (t) => {
  for (const [name, text] of Object.entries(generatedSchemas())) {
    t.is(await readFile(new URL(`../../schemas/json/${name}`, import.meta.url), 'utf8'), text);
  }
});

const environment = (item: string) => parse(`environments:\n  - {branches: '**', ${item}}\n`);

test('limits have numbers, sizes and times, or none', (t) => {
  const {config} = environment(
    'limits: {cpus: 0.25, memory: 1.5GB, disk: none, runs_per_day: 0, run_time: 90s}',
  );
  t.deepEqual(config?.environments[0]?.limits, {
    cpus: 0.25,
    memory: 1.5 * 1024 ** 3,
    disk: null,
    runs_per_day: 0,
    run_time: 90_000,
  });
});

for (const item of [
  'limits: {cpus: -1}',
  'limits: {cpus: 0}',
  'limits: {cpus: .nan}',
  'limits: {cpus: .inf}',
  'limits: {memory: 512}',
  'limits: {memory: -1GB}',
  'limits: {memory: 0B}',
  'limits: {memory: 1e9GB}',
  'limits: {memory: 99999999TB}',
  'limits: {runs_per_day: 1.5}',
  'limits: {run_time: 0}',
  'limits: {overlap: sometimes}',
  'limits: {previews: 1}',
  'limits: []',
  'data: all',
  'data: "seed:"',
  'data: {seed: x}',
]) {
  test(`an environment with ${item} is refused at its place`, (t) => {
    const {config, issues} = environment(item);
    t.is(config, null);
    t.is(issues[0]?.line, 2);
  });
}

test('backups are kept at least once', (t) => {
  t.deepEqual(parse('').config?.backups, {keep: 7, interval: 86_400_000});
  t.is(parse('backups: {keep: 0}\n').config, null);
  t.is(parse('backups: {every: 1d}\n').config, null);
});

for (const {title, deployer, valid} of [
  {
    title: 'an https issuer',
    deployer: {issuer: 'https://gitlab.com', repository_claim: 'project_path'},
    valid: true,
  },
  {title: 'an issuer of this host', deployer: {issuer: 'http://127.0.0.1:8080'}, valid: true},
  {title: 'an issuer over plain http', deployer: {issuer: 'http://gitlab.example.org'}, valid: false},
  {
    title: 'keys over plain http',
    deployer: {issuer: 'https://gitlab.com', jwks_url: 'http://x/keys'},
    valid: false,
  },
  {title: 'a host like this one', deployer: {issuer: 'http://127.0.0.1.example.org'}, valid: false},
  {title: 'a token', deployer: {token: {from_file: '/x'}, repositories: ['github.com/acme/*']}, valid: true},
  {title: 'a token for nothing', deployer: {token: {from_file: '/x'}, repositories: []}, valid: false},
  {
    title: 'a token for all but one',
    deployer: {token: {from_file: '/x'}, repositories: ['!a/b/c']},
    valid: false,
  },
]) {
  test(`deployers: ${title} is ${valid ? 'taken' : 'refused'}`, (t) => {
    const {issues} = parseConfig(JSON.stringify({deployers: [deployer]}), 'branchtab.yaml');
    t.is(issues.length === 0, valid, JSON.stringify(issues));
  });
}
