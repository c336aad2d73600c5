import test from 'ava';
import fc from 'fast-check';
import {parseTree} from '../../reconciler/sources/tree-object.ts';
import {fuzz} from '../helpers/fuzz.ts';

const idBytes = fc.constantFrom(20, 32);
const name = fc
  .oneof(
    fc.constantFrom(
      '.',
      '..',
      '.git',
      '.GIT',
      '.gIt',
      '',
      'a/b',
      '/',
      '\\',
      '__proto__',
      'constructor',
      '-rf',
      '.hoody',
      'ä',
      '\n',
      '…',
    ),
    fc.string({unit: 'binary', maxLength: 12}),
  )
  .map((text) => Buffer.from(text.replaceAll('\0', '')));
const mode = fc.oneof(
  fc.constantFrom('40000', '100644', '100755', '120000', '160000', '040000', '100664'),
  fc.stringMatching(/^[0-9 x]{0,7}$/),
);

test('any bytes are refused by name or give only names that stay in their directory', async (t) => {
  const entries = idBytes.chain((size) =>
    fc.tuple(
      fc.constant(size),
      fc.array(
        fc.tuple(
          mode,
          fc.oneof(name, fc.uint8Array({maxLength: 8})),
          fc.uint8Array({minLength: size, maxLength: size}),
        ),
        {maxLength: 6},
      ),
    ),
  );
  await fuzz(
    t,
    fc.property(entries, fc.option(fc.nat({max: 200})), ([size, list], cutAt) => {
      const whole = Buffer.concat(
        list.flatMap(([bits, entryName, id]) => [
          Buffer.from(`${bits} `),
          Buffer.from(entryName),
          Buffer.from([0]),
          Buffer.from(id),
        ]),
      );
      const bytes = cutAt === null ? whole : whole.subarray(0, cutAt);
      let parsed: ReadonlyMap<string, unknown>;
      try {
        parsed = parseTree(bytes, size);
      } catch (error) {
        return error instanceof Error && error.constructor === Error && error.message !== '';
      }
      return [...parsed.keys()].every(
        (entry) =>
          entry !== '' &&
          entry !== '.' &&
          entry !== '..' &&
          !/[/\0]/.test(entry) &&
          entry.toLowerCase() !== '.git',
      );
    }),
    {runs: 3000},
  );
});

test('what git would write is read back', async (t) => {
  const good = fc.uniqueArray(fc.stringMatching(/^[a-zä-ü日 \-"'$]{1,12}$/), {maxLength: 20});
  await fuzz(
    t,
    fc.property(
      good,
      idBytes,
      fc.constantFrom('40000', '100644', '100755', '120000', '160000'),
      (names, size, bits) => {
        const bytes = Buffer.concat(
          names.map((entry, index) =>
            Buffer.concat([Buffer.from(`${bits} ${entry}\0`), Buffer.alloc(size, index)]),
          ),
        );
        const parsed = parseTree(bytes, size);
        return (
          names.every(
            (entry, index) => parsed.get(entry)?.id === Buffer.alloc(size, index).toString('hex'),
          ) && parsed.size === names.length
        );
      },
    ),
    {runs: 500},
  );
});
