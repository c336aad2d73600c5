import test from 'ava';
import fc from 'fast-check';
import {readPushOptions} from '../../cli/push-options.ts';
import {fuzz} from '../helpers/fuzz.ts';

const words = [
  'branchtab.',
  'skip',
  'wait',
  '=',
  '90s',
  '0',
  '99999999d',
  '-1',
  '\n',
  '\0',
  '\u001b[31m',
  'x',
];
const option = fc.oneof(
  fc.array(fc.constantFrom(...words), {maxLength: 6}).map((parts) => parts.join('')),
  fc.string({unit: 'binary', maxLength: 200}),
);
const count = fc.oneof(fc.nat({max: 20}).map(String), fc.constantFrom('', '-1', '1e9', 'NaN', '0x10'));

test('push options of any kind ask for what we know, or are named as unknown', async (t) => {
  await fuzz(
    t,
    fc.property(count, fc.array(option, {maxLength: 10}), (countText, options) => {
      const environment = {
        GIT_PUSH_OPTION_COUNT: countText,
        ...Object.fromEntries(options.map((text, index) => [`GIT_PUSH_OPTION_${index}`, text])),
      };
      const {skip, waitMs, unknown} = readPushOptions(environment);
      if (skip && !options.includes('branchtab.skip')) return false;
      if (waitMs !== null && !(waitMs >= 0 && waitMs <= 15 * 60_000)) return false;
      return unknown.every((text) => text.length <= 60 && options.some((own) => own.startsWith(text)));
    }),
    {runs: 2000},
  );
});
