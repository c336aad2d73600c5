import definitions from '@octokit/webhooks-examples';
import test from 'ava';
import {ZodError} from 'zod';
import {subjectOf} from '../../../cli/action/event.ts';
import {payloadOf, pullRequestPayload} from '../../helpers/action-world.ts';

const [commit, former, merge] = ['a'.repeat(40), 'b'.repeat(40), 'c'.repeat(40)];
const none = '0'.repeat(40);
const pull = (action: string, isFork = false) =>
  pullRequestPayload(action, {head: ['feature', commit], base: ['main', former], isFork});
const push = (changes: object) =>
  payloadOf('push', {ref: 'refs/heads/main', before: former, after: commit, ...changes});

for (const {title, name, payload, ref = 'refs/heads/main', sha = commit, expect} of [
  {
    title: 'a push',
    name: 'push',
    payload: push({}),
    expect: {kind: 'branch', branch: 'main', commit, head: commit},
  },
  {
    title: 'a push of a new branch, against the default one',
    name: 'push',
    payload: push({ref: 'refs/heads/feature/x', before: none, repository: {default_branch: 'trunk'}}),
    expect: {branch: 'feature/x', bases: [{name: 'trunk', revision: 'refs/remotes/origin/trunk'}]},
  },
  {
    title: 'a push that deletes',
    name: 'push',
    payload: push({after: none, deleted: true}),
    expect: {kind: 'gone', branch: 'main'},
  },
  {title: 'a push of a tag', name: 'push', payload: push({ref: 'refs/tags/v1'}), expect: {kind: 'nothing'}},
  {
    title: 'the deletion of a branch, which runs on another one',
    name: 'delete',
    payload: payloadOf('delete', {ref: 'feature', ref_type: 'branch'}),
    expect: {kind: 'gone', branch: 'feature'},
  },
  {
    title: 'the deletion of a tag',
    name: 'delete',
    payload: payloadOf('delete', {ref: 'v1', ref_type: 'tag'}),
    expect: {kind: 'nothing'},
  },
  {
    title: 'a pull request, as merging makes it',
    name: 'pull_request',
    payload: pull('synchronize'),
    ref: 'refs/pull/1/merge',
    sha: merge,
    expect: {
      kind: 'branch',
      branch: 'feature',
      commit,
      head: merge,
      isFork: false,
      bases: [
        {name: 'main', revision: `${merge}^1`},
        {name: 'main', revision: former},
      ],
    },
  },
  {
    title: 'a pull request of a fork',
    name: 'pull_request',
    payload: pull('opened', true),
    expect: {kind: 'branch', isFork: true},
  },
  {
    title: 'a pull request that is closed',
    name: 'pull_request',
    payload: pull('closed'),
    expect: {kind: 'gone', branch: 'feature', isFork: false},
  },
  {
    title: 'a fork that is closed',
    name: 'pull_request',
    payload: pull('closed', true),
    expect: {kind: 'gone', isFork: true},
  },
  {
    title: 'what strangers may start',
    name: 'pull_request_target',
    payload: pull('opened'),
    expect: {kind: 'nothing'},
  },
  {
    title: 'a start by hand',
    name: 'workflow_dispatch',
    payload: payloadOf('workflow_dispatch', {}),
    ref: 'refs/heads/feature',
    expect: {kind: 'branch', branch: 'feature', commit, head: commit},
  },
  {
    title: 'a start by the clock',
    name: 'schedule',
    payload: {schedule: '0 * * * *'},
    expect: {kind: 'branch', branch: 'main', commit, bases: []},
  },
  {
    title: 'a start on a tag',
    name: 'workflow_dispatch',
    payload: {},
    ref: 'refs/tags/v1',
    expect: {kind: 'nothing'},
  },
  {title: 'a start without a commit', name: 'schedule', payload: {}, sha: '', expect: {kind: 'nothing'}},
]) {
  test(`event: ${title}`, (t) => {
    t.like(subjectOf({name, ref, sha, payload}), expect);
  });
}

test('every example of GitHub is understood or refused, whatever its event is called', (t) => {
  for (const {name, examples} of definitions as {name: string; examples: unknown[]}[])
    for (const payload of examples)
      for (const event of [name, 'push', 'pull_request', 'delete', 'schedule'])
        try {
          subjectOf({name: event, ref: 'refs/heads/main', sha: commit, payload});
        } catch (error) {
          t.true(error instanceof ZodError, String(error));
        }
  t.pass();
});
