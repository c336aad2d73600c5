import test from 'ava';
import {parseSchedule} from '../../../schemas/schedule/parse.ts';
import {loadSecondOpinion} from '../../../schemas/schedule/second-opinion.ts';

async function opinionOn(text: string): Promise<string | null> {
  const ask = await loadSecondOpinion();
  const result = parseSchedule(text);
  if (!result.ok) throw new Error(result.issue.message);
  return ask(result.schedule);
}

for (const text of [
  '*/15 9-17 * * MON-FRI',
  '0 0 29 feb *',
  '0 0 * * 7',
  '0 0 * * fri-sun',
  '@daily',
  '@reboot',
])
  test(`the other parser takes ${text}`, async (t) => {
    t.is(await opinionOn(text), null);
  });

for (const text of ['*/100 * * * *', '7-7/3 * * * *'])
  test(`the other parser refuses ${text}, which crontab(5) has`, async (t) => {
    t.regex((await opinionOn(text)) ?? '', /^(?:Second step element|Step value)[^()]*$/);
  });
