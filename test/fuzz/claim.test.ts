import test from 'ava';
import fc from 'fast-check';
import {printable} from '../../cli/terminal.ts';
import {parseClaim} from '../../schemas/claim.ts';
import {fuzz} from '../helpers/fuzz.ts';

const claim = {
  schema_version: 1,
  owner: 'a'.repeat(32),
  repository: '/srv/shop.git',
  host: 'here',
  state_directory: '/state/a',
  claimed_at: '2026-01-01T00:00:00.000Z',
};

const value = fc.oneof(
  fc.jsonValue(),
  fc.string({unit: 'binary', maxLength: 60}),
  fc.constantFrom('\u001b[2J', '\u202e', '\0', '', 'f'.repeat(32), 'A'.repeat(32), '../'.repeat(20)),
);
const key = fc.oneof(fc.constantFrom(...Object.keys(claim), '__proto__', 'constructor'), fc.string());

test('whatever stands in the place of a claim is one that can be shown, or none', (t) =>
  fuzz(
    t,
    fc.property(
      fc.oneof(
        fc.string({unit: 'binary', maxLength: 400}),
        fc.json(),
        fc.dictionary(key, value, {maxKeys: 3}).map((changes) => JSON.stringify({...claim, ...changes})),
      ),
      (text) => {
        const parsed = parseClaim(text);
        if (parsed === null) return true;
        const shown = `${parsed.repository} ${parsed.host} ${parsed.state_directory} ${parsed.claimed_at}`;
        return printable(shown) === shown && !shown.includes('\n') && /^[0-9a-f]{32}$/.test(parsed.owner);
      },
    ),
    {runs: 3000},
  ));
