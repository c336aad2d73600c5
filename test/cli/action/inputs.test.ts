import test from 'ava';
import {readInputs} from '../../../cli/action/inputs.ts';
import {createJobOutput} from '../../../cli/action/job-output.ts';

const read = (inputs: Readonly<Record<string, string>>) =>
  readInputs(
    Object.fromEntries(Object.entries(inputs).map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value])),
  );

test('an input that is left out has its default', (t) => {
  t.deepEqual(read({controller: 'https://branchtab.example.org/', command: '', path: '.', token: ' '}), {
    command: 'deploy',
    controller: 'https://branchtab.example.org',
    containerUrl: null,
    token: null,
    audience: null,
    wait: true,
    timeoutMs: 300_000,
    path: null,
    timeZone: 'UTC',
  });
});

for (const {inputs, says} of [
  {inputs: {command: 'apply'}, says: /input command: write one of deploy, plan, teardown/},
  {inputs: {command: 'deploy'}, says: /input controller: `deploy` needs/},
  {inputs: {command: 'teardown'}, says: /input controller: `teardown` needs/},
  {inputs: {controller: 'branchtab.example.org'}, says: /input controller: write an address/},
  {inputs: {controller: 'file:///etc/passwd'}, says: /input controller: write an address/},
  {
    inputs: {controller: 'https://user:secret@example.org'},
    says: /input controller: write the address alone/,
  },
  {
    inputs: {controller: 'https://a', 'container-url': 'https://b'},
    says: /container-url: name a controller or/,
  },
  {inputs: {controller: 'https://a', wait: 'yes'}, says: /input wait: write true or false/},
  {inputs: {controller: 'https://a', timeout: '5'}, says: /input timeout: write a duration/},
  {inputs: {controller: 'https://a', path: '../x'}, says: /input path: write a directory/},
  {inputs: {controller: 'https://a', path: '/etc'}, says: /input path: write a directory/},
  {inputs: {controller: 'https://a', timezone: 'Mars/Olympus'}, says: /input timezone: write a time zone/},
]) {
  test(`inputs ${JSON.stringify(inputs)} are refused`, (t) => {
    t.throws(() => read(inputs), {code: 'CONFIG_INVALID', message: says});
  });
}

test('nothing that is said or marked becomes a command of its own', (t) => {
  let log = '';
  const output = createJobOutput({}, (text) => {
    log += text;
  });
  output.say('::error::x\n::set-output name=a::b\r::stop-commands::c');
  output.annotate('warning', {
    file: 'a,b:c\n::error::d',
    line: 1,
    column: 2,
    code: 'x::y',
    message: 'm%\n::error::e',
  });
  const lines = log.split('\n').filter((line) => line !== '');
  t.is(lines.length, 2);
  t.deepEqual(
    lines.filter((line) => line.startsWith('::')).map((line) => line.slice(0, 9)),
    ['::warning'],
  );
  t.true(
    lines[1]?.startsWith(
      '::warning file=a%2Cb%3Ac%0A%3A%3Aerror%3A%3Ad,line=1,col=2,title=x%3A%3Ay::m%25%0A::error::e',
    ),
  );
});
