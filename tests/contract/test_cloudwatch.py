"""CloudWatch metrics, alarms and dashboards, as its API reference and user guide document them."""

import datetime
import json

from conftest import refused, wait_for

SERVICE = "cloudwatch"
MINUTE = datetime.timedelta(minutes=1)


def minute(back=0):
    now = datetime.datetime.now(datetime.timezone.utc).replace(second=0, microsecond=0)
    return now - back * MINUTE


def put(aws, values, metric="m", back=3, **more):
    namespace = more.pop("namespace", None) or aws.name("-n")
    aws.cloudwatch.put_metric_data(Namespace=namespace, MetricData=[
        {"MetricName": metric, "Timestamp": minute(back), "Value": value, **more} for value in values])
    return namespace


def query(namespace, stat, metric="m", name="q", period=60):
    return {"Id": name, "MetricStat": {"Metric": {"Namespace": namespace, "MetricName": metric}, "Period": period,
                                       "Stat": stat}}


def data(aws, *queries, **more):
    answer = aws.cloudwatch.get_metric_data(StartTime=minute(30), EndTime=minute(-1), MetricDataQueries=list(queries),
                                            **more)
    return {r["Id"]: r for r in answer["MetricDataResults"]}


def test_statistics_of_a_minute(aws):
    """GetMetricData: Sum, Average, Minimum, Maximum, SampleCount; StatusCode Complete."""
    namespace = put(aws, [1.0, 2.0, 6.0])
    stats = {"Sum": 9.0, "Average": 3.0, "Minimum": 1.0, "Maximum": 6.0, "SampleCount": 3.0}
    found = data(aws, *[query(namespace, stat, name=stat.lower()) for stat in stats])
    assert {stat: found[stat.lower()]["Values"] for stat in stats} == {k: [v] for k, v in stats.items()}
    assert {r["StatusCode"] for r in found.values()} == {"Complete"}
    assert found["sum"]["Timestamps"] == [minute(3)]


def test_percentiles(aws):
    """User guide, "Statistics definitions": p50 and p100 of raw values."""
    namespace = put(aws, [float(n) for n in range(1, 101)])
    found = data(aws, query(namespace, "p50", name="half"), query(namespace, "p100", name="all"))
    assert 48 <= found["half"]["Values"][0] <= 53
    assert found["all"]["Values"] == [100.0]


def test_values_with_counts(aws):
    """PutMetricData, Values and Counts; StatisticValues."""
    namespace = aws.name("-n")
    aws.cloudwatch.put_metric_data(Namespace=namespace, MetricData=[
        {"MetricName": "m", "Timestamp": minute(3), "Values": [1.0, 5.0], "Counts": [3.0, 1.0]},
        {"MetricName": "s", "Timestamp": minute(3),
         "StatisticValues": {"SampleCount": 4, "Sum": 10, "Minimum": 1, "Maximum": 4}},
    ])
    found = data(aws, query(namespace, "Sum"), query(namespace, "Average", "s", "s"))
    assert found["q"]["Values"] == [8.0] and found["s"]["Values"] == [2.5]


def test_get_metric_statistics(aws):
    """GetMetricStatistics: the asked statistics alone, with Unit and Timestamp; extended ones apart."""
    namespace = put(aws, [2.0, 4.0], Unit="Count")
    answer = aws.cloudwatch.get_metric_statistics(Namespace=namespace, MetricName="m", StartTime=minute(10),
                                                  EndTime=minute(), Period=60, Statistics=["Sum", "Maximum"])
    assert answer["Datapoints"] == [{"Timestamp": minute(3), "Sum": 6.0, "Maximum": 4.0, "Unit": "Count"}]
    answer = aws.cloudwatch.get_metric_statistics(Namespace=namespace, MetricName="m", StartTime=minute(10),
                                                  EndTime=minute(), Period=60, ExtendedStatistics=["p100"])
    assert answer["Datapoints"][0]["ExtendedStatistics"] == {"p100": 4.0}


def test_metric_math(aws):
    """User guide, "Using math expressions": expressions on ids; ReturnData false hides a query."""
    namespace = put(aws, [2.0], metric="a")
    put(aws, [6.0], metric="b", namespace=namespace)
    hidden = [{**query(namespace, "Sum", m, m), "ReturnData": False} for m in ("a", "b")]
    found = data(aws, *hidden, {"Id": "r", "Expression": "100 * a / b"})
    assert list(found) == ["r"] and abs(found["r"]["Values"][0] - 100 / 3) < 1e-9


def test_order_of_time(aws):
    """GetMetricData, ScanBy: newest first unless TimestampAscending is asked for."""
    namespace = put(aws, [1.0], back=5)
    put(aws, [2.0], back=3, namespace=namespace)
    assert data(aws, query(namespace, "Sum"))["q"]["Values"] == [2.0, 1.0]
    assert data(aws, query(namespace, "Sum"), ScanBy="TimestampAscending")["q"]["Values"] == [1.0, 2.0]


def test_metrics_are_listed(aws):
    """ListMetrics: by namespace, name, dimension."""
    namespace = put(aws, [1.0], Dimensions=[{"Name": "D", "Value": "v"}])
    found = aws.cloudwatch.list_metrics(Namespace=namespace)["Metrics"]
    assert found == [{"Namespace": namespace, "MetricName": "m", "Dimensions": [{"Name": "D", "Value": "v"}]}]
    assert aws.cloudwatch.list_metrics(Namespace=namespace, Dimensions=[{"Name": "E"}])["Metrics"] == []


def test_bad_metric_data(aws):
    """PutMetricData, Errors: 400 for NaN-like input: a value and a statistic set at once; AWS/ namespaces."""
    both = {"MetricName": "m", "Value": 1.0, "StatisticValues": {"SampleCount": 1, "Sum": 1, "Minimum": 1, "Maximum": 1}}
    refused(("InvalidParameterCombination", "InvalidParameterCombinationException", "InvalidParameterValue",
             "InvalidParameterValueException"), aws.cloudwatch.put_metric_data, Namespace=aws.name(), MetricData=[both])


def alarm(aws, namespace, **settings):
    name = aws.name("-alarm")
    settings = {"EvaluationPeriods": 1, "Threshold": 5.0, "ComparisonOperator": "GreaterThanThreshold", **settings}
    aws.cloudwatch.put_metric_alarm(AlarmName=name, Namespace=namespace, MetricName="m", Period=60, Statistic="Maximum",
                                    **settings)
    return name


def are_in(aws, wanted):
    """Waits until each alarm has its state. Alarms are evaluated about once a minute."""
    def states():
        answer = aws.cloudwatch.describe_alarms(AlarmNames=list(wanted), AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        found = answer.get("MetricAlarms", []) + answer.get("CompositeAlarms", [])
        return {alarm["AlarmName"]: alarm["StateValue"] for alarm in found}

    wait_for(f"{wanted}", lambda: states() == wanted, bound_s=75, every_s=1)


def test_alarms_are_evaluated(aws):
    """User guide, "Evaluating an alarm": M of N datapoints; missing data as TreatMissingData says; composite rules."""
    namespace = aws.name("-n")
    for back in range(-2, 7):  # Two of any three minutes breach.
        put(aws, [1.0 if back % 3 == 0 else 9.0], back=back, namespace=namespace)
    missing = alarm(aws, aws.name("-n"), TreatMissingData="breaching")
    both, neither = aws.name("-both"), aws.name("-not")
    aws.cloudwatch.put_composite_alarm(AlarmName=both, AlarmRule=f'ALARM("{missing}") AND TRUE')
    aws.cloudwatch.put_composite_alarm(AlarmName=neither, AlarmRule=f'NOT ALARM("{missing}")')
    are_in(aws, {
        alarm(aws, namespace, EvaluationPeriods=3, DatapointsToAlarm=2): "ALARM",
        alarm(aws, namespace, EvaluationPeriods=3, DatapointsToAlarm=3): "OK",
        alarm(aws, aws.name("-n")): "INSUFFICIENT_DATA",
        alarm(aws, aws.name("-n"), TreatMissingData="notBreaching"): "OK",
        missing: "ALARM",
        both: "ALARM",
        neither: "OK",
    })


def test_alarms_go(aws):
    """DeleteAlarms, SetAlarmState, DescribeAlarms by name."""
    name = alarm(aws, aws.name("-n"))
    aws.cloudwatch.delete_alarms(AlarmNames=[name])
    assert aws.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"] == []
    refused("ResourceNotFound", aws.cloudwatch.set_alarm_state, status=404, AlarmName=name, StateValue="OK",
            StateReason="test")


def test_dashboards(aws):
    """PutDashboard, GetDashboard, ListDashboards, DeleteDashboards; a bad body is refused."""
    name = aws.name("-d")
    body = json.dumps({"widgets": [{"type": "text", "width": 3, "height": 3, "properties": {"markdown": "x"}}]})
    assert aws.cloudwatch.put_dashboard(DashboardName=name, DashboardBody=body)["DashboardValidationMessages"] == []
    assert json.loads(aws.cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"]) == json.loads(body)
    listed = aws.cloudwatch.list_dashboards(DashboardNamePrefix=name)["DashboardEntries"]
    assert [d["DashboardName"] for d in listed] == [name]
    refused(("InvalidParameterInput", "InvalidParameterInputException"), aws.cloudwatch.put_dashboard,
            DashboardName=name, DashboardBody="no json")
    aws.cloudwatch.delete_dashboards(DashboardNames=[name])
    refused(("ResourceNotFound", "DashboardNotFoundError"), aws.cloudwatch.get_dashboard, status=404, DashboardName=name)


def test_metrics_of_a_stream(aws):
    """Kinesis developer guide, "Monitoring": AWS/Kinesis IncomingRecords and IncomingBytes by StreamName."""
    name = aws.stream()
    for _ in range(3):
        aws.kinesis.put_record(StreamName=name, PartitionKey="a", Data=b"12345")

    def total(metric):
        stat = {"Metric": {"Namespace": "AWS/Kinesis", "MetricName": metric,
                           "Dimensions": [{"Name": "StreamName", "Value": name}]}, "Period": 60, "Stat": "Sum"}
        return sum(data(aws, {"Id": "q", "MetricStat": stat})["q"]["Values"])

    wait_for("three records", lambda: total("IncomingRecords") == 3, bound_s=10)
    assert total("IncomingBytes") >= 15
