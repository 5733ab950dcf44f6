import pytest

from fastchat.admission.connections import ConnectionRefused, ConnectionRules
from fastchat.protocol.codes import CloseCode

IP, OTHER = "192.0.2.1", "2001:db8::1"


def refuse(rules, remote_ip, now):
    with pytest.raises(ConnectionRefused) as caught:
        rules.open(remote_ip, now)
    return caught.value


def test_an_address_may_open_as_many_connections_as_the_limit():
    rules = ConnectionRules(50, 2, 3000)
    rules.open(IP, 0.0)
    rules.open(IP, 0.0)
    refusal = refuse(rules, IP, 0.0)
    assert refusal.close_code == CloseCode.POLICY_VIOLATION
    assert refusal.reason == "Connection limit exceeded"
    assert not refusal.worker_full
    rules.open(OTHER, 0.0)
    assert rules.connections_by_ip == {IP: 2, OTHER: 1}
    rules.close(IP)
    rules.open(IP, 0.0)
    assert rules.connection_refusals == 1


def test_closed_connections_leave_nothing_behind():
    rules = ConnectionRules(1, 1, 3000)
    for now in range(5):
        rules.open(IP, float(now))
        rules.close(IP)
    assert rules.connections_by_ip == {}


def test_connections_and_requests_count_together_for_a_quarter_of_an_hour():
    rules = ConnectionRules(50, 50, 3)
    rules.open(IP, 0.0)
    assert rules.admit_request(IP, 100.0) == 0
    rules.open(IP, 200.0)
    refusal = refuse(rules, IP, 899.9)
    assert (refusal.close_code, refusal.reason) == (1008, "Rate limit exceeded")
    assert rules.admit_request(IP, 899.5) == 1
    assert rules.admit_request(IP, 300.0) == 600
    assert rules.ip_refusals == 3
    assert rules.admit_request(OTHER, 300.0) == 0
    rules.open(IP, 900.0)
    assert rules.admit_request(IP, 900.0) == 100


def test_a_full_worker_says_that_it_is_full():
    rules = ConnectionRules(2, 2, 3000)
    rules.open(IP, 0.0)
    rules.open(OTHER, 0.0)
    refusal = refuse(rules, "192.0.2.2", 0.0)
    assert (refusal.close_code, refusal.worker_full) == (CloseCode.TRY_AGAIN_LATER, True)
    rules.close(OTHER)
    rules.open("192.0.2.2", 0.0)


def test_the_first_rule_that_is_broken_is_the_one_that_is_named():
    rules = ConnectionRules(1, 1, 1)
    rules.open(IP, 0.0)
    assert refuse(rules, IP, 0.0).reason == "Connection limit exceeded"
    rules.close(IP)
    assert refuse(rules, IP, 0.0).reason == "Rate limit exceeded"
    rules.open(OTHER, 0.0)
    assert refuse(rules, IP, 900.0).worker_full


def test_a_refusal_by_one_rule_counts_in_no_other():
    rules = ConnectionRules(1, 1, 2)
    rules.open(IP, 0.0)
    for _ in range(10):
        refuse(rules, IP, 1.0)
        refuse(rules, OTHER, 1.0)
    rules.close(IP)
    rules.open(IP, 2.0)
    rules.close(IP)
    rules.open(OTHER, 2.0)


def test_addresses_are_forgotten_when_their_last_request_has_left():
    rules = ConnectionRules(50, 10, 3000)
    rules.admit_request(IP, 0.0)
    rules.admit_request(OTHER, 1.0)
    assert sum(rules.sweep(899.0)) == 0
    assert sum(rules.sweep(900.0)) == 1
    assert sum(rules.sweep(901.0)) == 1
    assert sum(rules.sweep(902.0)) == 0
