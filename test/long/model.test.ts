import test from 'ava';
import {fuzz} from '../helpers/fuzz.ts';
import {reconcilerProperty} from '../helpers/reconciler-property.ts';

test('five hundred times: what runs equals what git says once quiet, whatever happens on the way', async (t) => {
  await fuzz(t, reconcilerProperty, {runs: 500});
});
