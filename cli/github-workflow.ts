/** Where `branchtab init --github` puts it. */
export const workflowFile = '.github/workflows/branchtab.yml';

/** Deploys what is pushed and says in pull requests what they change. `action` is `owner/name@ref` of Branchtab's own repository. */
export function gitHubWorkflow({action, controller}: {action: string; controller: string}): string {
  const [repository, ref] = action.split('@');
  return `# What is pushed is brought into its container, and a pull request says what it changes.
name: Branchtab
on:
  push:
    branches: ['**']
  delete:
  pull_request:
  workflow_dispatch:
permissions:
  contents: read
jobs:
  deploy:
    if: github.event_name != 'pull_request'
    permissions:
      contents: read
      # By this the controller knows the repository; no secret is stored anywhere.
      id-token: write
    runs-on: ubuntu-24.04
    timeout-minutes: 15
    steps:
      - uses: ${checkout}
        with:
          persist-credentials: false
      - uses: ${repository}/.github/actions/deploy@${ref}
        with:
          controller: ${controller}
  plan:
    if: github.event_name == 'pull_request'
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    steps:
      - uses: ${checkout}
        with:
          fetch-depth: 2
          persist-credentials: false
      - uses: ${repository}/.github/actions/deploy@${ref}
        with:
          command: plan
`;
}

const checkout = 'actions/checkout@08eba0b27e820071cde6df949e0beb9ba4906955 # v4.3.0';
