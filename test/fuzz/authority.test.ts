import {X509Certificate} from 'node:crypto';
import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import fc from 'fast-check';
import {openAuthority} from '../../runtime/platform/authority.ts';
import {silentLog} from '../../runtime/platform/log.ts';
import {FakeClock} from '../helpers/fake-clock.ts';
import {fuzz} from '../helpers/fuzz.ts';

const names = ['exec.hoody.example'];
const clock = new FakeClock();

async function setup(t: ExecutionContext) {
  const store = await mkdtemp(join(tmpdir(), 'bt-authority-'));
  t.teardown(() => rm(store, {recursive: true, force: true}));
  const bundle = join(store, 'bundle.crt');
  const places = {directory: join(store, 'ours'), bundles: [bundle] as const, anchors: []};
  return {
    bundle,
    file: join(store, 'authority.json'),
    open: () => openAuthority({store, names, clock, log: silentLog, places}),
  };
}

const fileText = fc.oneof(
  fc.string({unit: 'binary', maxLength: 200}),
  fc.json(),
  fc
    .record(
      {
        names: fc.oneof(fc.constant(names), fc.array(fc.string())),
        fromMs: fc.oneof(fc.constant(0), fc.double()),
        untilMs: fc.oneof(fc.constant(Number.MAX_SAFE_INTEGER), fc.double()),
        certificate: fc.string(),
        key: fc.string(),
      },
      {requiredKeys: []},
    )
    .map((value) => JSON.stringify(value)),
);

test('whatever its file holds, after two starts at most there is an authority that signs', async (t) => {
  const {file, open} = await setup(t);
  await fuzz(
    t,
    fc.asyncProperty(fileText, async (text) => {
      await writeFile(file, text);
      const first = await (await open()).certificateOf().catch(() => null);
      const {certificate} = first ?? (await (await open()).certificateOf());
      const kept = new X509Certificate(JSON.parse(await readFile(file, 'utf8')).certificate);
      t.true(new X509Certificate(certificate).verify(kept.publicKey));
    }),
    {runs: 40},
  );
});

test('whatever a bundle holds, all of it stays but for authorities of ours, of which there is one', async (t) => {
  const {bundle, open} = await setup(t);
  const authority = await open();
  const piece = fc.oneof(
    fc.uint8Array({maxLength: 5000}).map((bytes) => Buffer.from(bytes).toString('latin1')),
    fc.constantFrom(
      '-----BEGIN CERTIFICATE-----\n',
      '-----END CERTIFICATE-----\n',
      '\n',
      '#',
      '# branchtab: ',
    ),
  );
  await fuzz(
    t,
    fc.asyncProperty(fc.array(piece, {maxLength: 12}), async (pieces) => {
      const others = pieces.join('');
      await writeFile(bundle, others, 'latin1');
      await authority.trust();
      const once = await readFile(bundle, 'latin1');
      t.true(once.startsWith(others));
      await authority.trust();
      t.is(await readFile(bundle, 'latin1'), once);
      t.is(once.slice(others.length).split('BEGIN CERTIFICATE').length, 2);
    }),
    {runs: 40},
  );
});
