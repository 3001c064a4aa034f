//! Executes what [`super::prepare`] has made, stack by stack.

use aws_sdk_cloudformation::types::StackStatus;
use aws_smithy_types::byte_stream::ByteStream;

use super::artifact::Artifact;
use super::changeset::Prepared;
use super::deploy::{Deployed, deployed, describe, first_cause};
use super::error::failed;
use super::patience::patiently;
use super::templates::Templates;
use super::upplan::{Names, UpPlan, observability_request, pipeline_request};
use super::{Part, StackError, Standing, UpRequest, down, status};
use crate::platform::clients::Clients;
use crate::platform::clock::Clock;

/// Executes the change sets: bucket, code, pipeline, alarms; then deletes the bucket, which nothing needs once
/// the function stands. Each stack event is told to `progress` in one line.
///
/// # Errors
/// The first real cause when a stack fails. CloudFormation has rolled that stack back, and the change sets that
/// were not executed are gone. What an earlier stack of a fresh plan made still stands, for `down` to remove.
pub async fn execute(
    clients: &Clients,
    clock: Clock,
    request: &UpRequest,
    templates: &Templates,
    plan: &mut UpPlan,
    progress: &dyn Fn(&str),
) -> Result<Standing, StackError> {
    let job = Job { clients, clock, request, templates, progress };
    if let Err(error) = job.stacks(plan).await {
        // The first cause counts; a stack that stands is no review, and is left alone here.
        let _ = plan.discard(clients, clock).await;
        if !plan.is_fresh {
            job.drop_artifacts().await;
        }
        return Err(error);
    }
    job.drop_artifacts().await;
    let standing = status::standing(clients, &request.env).await?;
    let stack = Part::Pipeline.stack_name(&request.environment.account.name_prefix, &request.env);
    let standing = standing.ok_or(StackError::State { stack, status: "gone".into(), reason: None })?;
    Ok(Standing { up_us: Some(clock.now_us()), ..standing })
}

struct Job<'a> {
    clients: &'a Clients,
    clock: Clock,
    request: &'a UpRequest,
    templates: &'a Templates,
    progress: &'a dyn Fn(&str),
}

impl Job<'_> {
    fn name_of(&self, part: Part) -> String {
        part.stack_name(&self.request.environment.account.name_prefix, &self.request.env)
    }

    async fn stacks(&self, plan: &mut UpPlan) -> Result<(), StackError> {
        if let Some(artifacts) = &plan.artifacts {
            let bucket = self.settle(artifacts).await?.output("ArtifactsBucketName")?;
            upload(self.clients, &bucket, &self.request.function_zip, self.progress).await?;
            let architecture = super::architecture(self.request)?;
            let wanted = pipeline_request(self.request, self.templates, architecture, &bucket)?;
            self.make_true(&mut plan.pipeline, wanted).await?;
        }
        if let Some(line) = &plan.unknown_limit {
            (self.progress)(line);
        }
        let pipeline = self.settle(&plan.pipeline).await?;
        let names = Names::of(&pipeline)?;
        let Some(observability) = &mut plan.observability else {
            let why = plan.unobserved.as_deref().unwrap_or("refused");
            (self.progress)(&format!("going on without alarms and dashboard: {why}"));
            return Ok(());
        };
        let wanted = observability_request(self.request, self.templates, &names, plan.concurrency_limit);
        let made = async {
            self.make_true(observability, wanted).await?;
            self.settle(observability).await
        };
        match made.await {
            Ok(_) => Ok(()),
            Err(error) => self.go_on_unobserved(observability.creates, error).await,
        }
    }

    /// Makes the change set again where its parameters were foreseen wrongly.
    async fn make_true(
        &self,
        prepared: &mut Prepared,
        wanted: super::deploy::Request,
    ) -> Result<(), StackError> {
        if prepared.request.parameters != wanted.parameters {
            prepared.make_again(self.clients, self.clock, wanted).await?;
        }
        Ok(())
    }

    /// Executes one and waits for its end.
    async fn settle(&self, prepared: &Prepared) -> Result<Deployed, StackError> {
        let name = &prepared.request.stack;
        if prepared.is_done() {
            (self.progress)(&format!("{name} stands already as asked"));
            let stack = describe(self.clients, name).await?;
            let gone = || StackError::State { stack: name.clone(), status: "gone".into(), reason: None };
            return stack.as_ref().map(deployed).ok_or_else(gone);
        }
        (self.progress)(&format!("{name}: {}", if prepared.creates { "creating" } else { "updating" }));
        let mut watch = prepared.execute(self.clients).await?;
        let stack = watch.until_settled(self.clients, self.clock, self.progress).await?;
        match stack.stack_status() {
            Some(StackStatus::CreateComplete | StackStatus::UpdateComplete) => Ok(deployed(&stack)),
            _ => Err(first_cause(&watch, &stack)),
        }
    }

    /// No figure of a run rests on alarms and dashboards: where they are refused (no permission, a quota, an
    /// endpoint without composite alarms) the pipeline is measured without them, and both the progress and the
    /// report say so.
    ///
    /// # Errors
    /// Anything that would stop the rest as well; and when what was begun of the stack cannot be deleted.
    async fn go_on_unobserved(&self, creates: bool, error: StackError) -> Result<(), StackError> {
        if !super::is_bearable(&error) {
            return Err(error);
        }
        if !creates {
            (self.progress)(&format!("alarms and dashboard stay as they were: {error}"));
            return Ok(());
        }
        (self.progress)(&format!("going on without alarms and dashboard: {error}"));
        let name = self.name_of(Part::Observability);
        match down::remove(self.clients, self.clock, &name, self.progress).await? {
            None => Ok(()),
            Some(_) => Err(error),
        }
    }

    /// The bucket has served when the function stands. That it could not be deleted stops nothing: it costs
    /// next to nothing, and `down` tries again and says if it stays.
    async fn drop_artifacts(&self) {
        let name = self.name_of(Part::Artifacts);
        match down::remove(self.clients, self.clock, &name, self.progress).await {
            Ok(None) => {}
            Ok(Some(stack)) => {
                let status = super::deploy::status_text(&stack);
                (self.progress)(&format!("{name} is left for down to remove: {status}"));
            }
            Err(error) => (self.progress)(&format!("{name} is left for down to remove: {error}")),
        }
    }
}

/// Uploads the zip under a key made of its content, unless it is there.
async fn upload(
    clients: &Clients,
    bucket: &str,
    artifact: &Artifact,
    progress: &dyn Fn(&str),
) -> Result<(), StackError> {
    let key = super::code_key(artifact);
    let size_mb = artifact.zip.len() as f64 / 1e6;
    let there = clients.s3.head_object().bucket(bucket).key(&key).send().await;
    if there.is_ok_and(|object| object.content_length() == Some(artifact.zip.len() as i64)) {
        progress(&format!("function code ({size_mb:.1} MB) is there already"));
        return Ok(());
    }
    progress(&format!("uploading the function's code ({size_mb:.1} MB)"));
    let ask = || async {
        let body = ByteStream::from(artifact.zip.clone());
        let put = clients.s3.put_object().bucket(bucket).key(&key).body(body).send().await;
        put.map(drop).map_err(|error| failed("S3", "upload the function's code", error))
    };
    patiently(bucket, ask).await
}
