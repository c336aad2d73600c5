import test from 'ava';
import {startRuntime} from '../helpers/runtime-process.ts';

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

function client(url: string) {
  const ask = async (
    method: string,
    path: string,
    {body, headers = {}}: {body?: unknown; headers?: Record<string, string>} = {},
  ): Promise<Answer> => {
    const answer = await fetch(`${url}/users/root${path}`, {
      method,
      headers: {...headers, ...(body === undefined ? {} : {'Content-Type': 'application/json'})},
      ...(body === undefined ? {} : {body: JSON.stringify(body)}),
    });
    return {
      status: answer.status,
      headers: answer.headers,
      body: (await answer.json()) as Record<string, unknown>,
    };
  };
  return {
    ask,
    create: async (name: string) => {
      const {status, body} = await ask('POST', '/entries', {
        body: {schedule: '@yearly', command: `true ${name}`, name},
      });
      return {status, id: String(body.id)};
    },
    crontab: async () => {
      const {body, headers} = await ask('GET', '/crontab');
      return {
        text: String(body.crontab),
        etag: headers.get('etag') ?? '',
        rawEtag: headers.get('x-raw-etag') ?? '',
      };
    },
    entries: async () => {
      const {body} = await ask('GET', '/entries?limit=200');
      return (body.entries as {type: string; id: string; name: string; command: string}[]).filter(
        ({type}) => type === 'managed',
      );
    },
  };
}

const numbers = (count: number) => Array.from({length: count}, (_, index) => index);

test('entries that are made, changed and deleted while the raw text is put again and again are all as acknowledged', async (t) => {
  const {url} = await startRuntime(t);
  const {ask, create, crontab, entries} = client(url);
  const old = await Promise.all(numbers(20).map((index) => create(`old-${index}`)));
  const raw = (round: number) => `# round ${round}\n${round} 1 1 1 * true\n`;
  // One put after every other entry, so that they come in between.
  const putting: Promise<Answer>[] = [];
  const making = numbers(40).map((index) => {
    if (index % 2 === 0) putting.push(ask('PUT', '/crontab?managed=keep', {body: {crontab: raw(index)}}));
    return create(`new-${index}`);
  });
  const changing = old
    .slice(0, 10)
    .map(({id}) => ask('PATCH', `/entries/${id}`, {body: {command: `true changed ${id}`}}));
  const deleting = old.slice(10).map(({id}) => ask('DELETE', `/entries/${id}`));
  const made = await Promise.all(making);
  const others = await Promise.all([...putting, ...changing, ...deleting]);
  t.deepEqual([...new Set(made.map(({status}) => status))], [201]);
  t.deepEqual([...new Set(others.map(({status}) => status))], [200]);

  const present = await entries();
  t.deepEqual(present.map(({id}) => id).sort(), [...made, ...old.slice(0, 10)].map(({id}) => id).sort());
  for (const {id} of old.slice(0, 10))
    t.is(present.find((entry) => entry.id === id)?.command, `true changed ${id}`);
  const {text} = await crontab();
  t.true(
    numbers(40).some((index) => text.endsWith(`\n${raw(index)}`)),
    text,
  );
  t.is(text.split('\n').length, 2 * present.length + 3);
});

test('of two writers that read the same text exactly one gets through, by either tag', async (t) => {
  const {url} = await startRuntime(t);
  const {ask, create, crontab} = client(url);
  await create('stays');
  for (const round of numbers(20)) {
    const {etag, rawEtag} = await crontab();
    const tag = round % 2 === 0 ? etag : rawEtag;
    const texts = ['a', 'b'].map((writer) => `# ${writer} ${round}\n`);
    const answers = await Promise.all(
      texts.map((body) =>
        ask('PUT', '/crontab?managed=keep', {body: {crontab: body}, headers: {'If-Match': tag}}),
      ),
    );
    t.deepEqual(answers.map(({status}) => status).sort(), [200, 412]);
    const winner = texts[answers.findIndex(({status}) => status === 200)];
    const {text} = await crontab();
    t.true(text.endsWith(`\n${winner}`), text);
    const refused = answers.find(({status}) => status === 412)?.body;
    t.is(refused?.code, 'PRECONDITION_FAILED');
  }
});

test('a whole-file PUT that names the text it read never takes an entry away that it did not see', async (t) => {
  const {url} = await startRuntime(t);
  const {ask, create, crontab, entries} = client(url);
  for (const round of numbers(20)) {
    const {text, etag} = await crontab();
    const [made, put] = await Promise.all([
      create(`round-${round}`),
      ask('PUT', '/crontab', {body: {crontab: `${text}# ${round}\n`}, headers: {'If-Match': etag}}),
    ]);
    t.is(made.status, 201);
    t.true([200, 412].includes(put.status));
    const after = await crontab();
    t.is(after.text.includes(`# ${round}\n`), put.status === 200);
  }
  t.deepEqual(
    (await entries()).map(({name}) => name).sort(),
    numbers(20)
      .map((round) => `round-${round}`)
      .sort(),
  );
});

test('S39: the crontabs of two users are written at once, and none gets what the other wrote', async (t) => {
  const {url} = await startRuntime(t, ['--user', 'ada']);
  const put = (user: string, crontab: string) =>
    fetch(`${url}/users/${user}/crontab`, {
      method: 'PUT',
      headers: {'Content-Type': 'text/plain'},
      body: crontab,
    });
  const users = ['root', 'ada'];
  const answers = await Promise.all(
    numbers(20).flatMap((round) => users.map((user) => put(user, `# ${user} ${round}\n`))),
  );
  t.deepEqual([...new Set(answers.map(({status}) => status))], [200]);
  for (const user of users) {
    const answer = await fetch(`${url}/users/${user}/crontab`, {headers: {Accept: 'text/plain'}});
    t.regex(await answer.text(), new RegExp(`^# ${user} \\d+\\n$`));
  }
});
