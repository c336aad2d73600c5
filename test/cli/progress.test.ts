import test from 'ava';
import {withProgress} from '../../cli/progress.ts';
import {FakeClock} from '../helpers/fake-clock.ts';

for (const {title, errIsTty, afterMs, said} of [
  {title: 'work of a second is not spoken of', errIsTty: true, afterMs: 999, said: ''},
  {title: 'longer work is named on a terminal, once', errIsTty: true, afterMs: 5000, said: 'Copying...\n'},
  {title: 'nothing is said where nobody watches', errIsTty: false, afterMs: 5000, said: ''},
]) {
  test(title, async (t) => {
    const clock = new FakeClock();
    const written: string[] = [];
    const work = clock.sleep(afterMs).then(() => 'result');
    const shown = withProgress({errIsTty, err: (text) => written.push(text)}, 'Copying...', work, clock);
    await clock.advance(5000);
    t.is(await shown, 'result');
    t.is(written.join(''), said);
    t.is(clock.sleeping, 0);
  });
}

test('a failure is passed on and ends the waiting', async (t) => {
  const clock = new FakeClock();
  const failing = Promise.reject(new Error('no'));
  await t.throwsAsync(withProgress({errIsTty: true, err: () => t.fail()}, 'Copying...', failing, clock), {
    message: 'no',
  });
  await clock.advance(5000);
  t.is(clock.sleeping, 0);
});
