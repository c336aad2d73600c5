import test from 'ava';
import fc from 'fast-check';
import {createSecretMask} from '../../../runtime/platform/secret-mask.ts';

const secret = 'sk_live_51H+/"x y';

for (const [form, text] of [
  ['as it is', secret],
  ['in a URL', `https://api.example/?key=${encodeURIComponent(secret)}`],
  ['in JSON', JSON.stringify({key: secret})],
  ['in base64', Buffer.from(secret).toString('base64')],
] as const) {
  test(`a secret ${form} is masked`, (t) => {
    const masked = createSecretMask([secret]).text(`before ${text} after`);
    t.regex(masked, /^before .*\*\*\*.* after$/);
    t.notRegex(masked, /51H/);
  });
}

test('of a secret with many lines each longer line is masked', (t) => {
  const key = '-----BEGIN KEY-----\nMIIEvQIBADANBg\nab\n-----END KEY-----\n';
  t.is(createSecretMask([key]).text('x MIIEvQIBADANBg y ab'), 'x *** y ab');
});

test('a secret inside another one leaves nothing of the longer', (t) => {
  t.is(createSecretMask(['abcdef', 'abcdefghij']).text('abcdefghij'), '***');
});

test('what a cut leaves of a secret is masked', (t) => {
  const mask = createSecretMask(['0123456789']);
  t.is(mask.text('tail 012345', {cutEnd: true}), 'tail ***');
  t.is(mask.text('456789 head', {cutStart: true}), '*** head');
  t.is(mask.text('tail 012345'), 'tail 012345');
});

test('without secrets everything passes', (t) => {
  const mask = createSecretMask([]);
  t.is(mask.text('abc', {cutEnd: true}), 'abc');
  t.is(mask.stream().push('abc'), 'abc');
});

test('however a text comes in pieces, no secret leaves the stream', (t) => {
  const values = fc.array(fc.string({minLength: 6, maxLength: 12, unit: fc.constantFrom('a', 'b')}), {
    minLength: 1,
    maxLength: 3,
  });
  const piece = fc.string({maxLength: 9, unit: fc.constantFrom('a', 'b', 'c')});
  fc.assert(
    fc.property(values, fc.array(piece, {maxLength: 12}), (secrets, pieces) => {
      const mask = createSecretMask(secrets);
      const stream = mask.stream();
      const out = pieces.map((text) => stream.push(text)).join('') + stream.end();
      for (const each of secrets) t.false(out.includes(each), `${each} in ${out}`);
    }),
  );
});
